"""Words for prompts where no tokenizer is at hand: short and common, as most vocabularies have them as tokens."""

from __future__ import annotations

_TEXT = (
    "the of and to in is that for it as with on be at by this from or an are not was but have which you "
    "one we all can has there been if more when will would who so no out up said what their about into "
    "than them only other new some could time these two may then do first any my now such like our over "
    "man me even most made after also did many before must through back years where much your way well "
    "down should because each just those people how too little state good very make world still own see "
    "men work long get here between both life being under never day same another know while last might us "
    "great old year off come since against go came right used take three "
)
WORDS = tuple(_TEXT.split())
