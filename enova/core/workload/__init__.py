"""When requests come and how long they are: the same for the simulator, the injector and the emulator."""
