"""From what is seen of a service to how many replicas it needs: demand, capacity, decision. No IO, no clock."""
