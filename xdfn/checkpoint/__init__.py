"""A trained network outlives its process: its file holds all that makes it go on where it stands.

saved        what is saved: `save`, `load`
npz          arrays and text as a `.npz` file of NumPy
safetensors  the same as a `.safetensors` file
checks       what a file must say to be believed
writer       a file is there whole, or not at all
"""

from xdfn.checkpoint.saved import Saved, damage, load, save
from xdfn.core.writer import write_whole

__all__ = ["Saved", "damage", "load", "save", "write_whole"]
