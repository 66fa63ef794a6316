"""The only place that opens HDF5 for reading: every error of the library becomes one line.

``File(path)["sen2"]`` is a Dataset. A member is opened when it is asked for and not before, so a
broken one that nobody needs does no harm; listing members opens none of them.
"""

from h5py import Group

from shared.patches.hdf5.files import Attributes, Dataset, File
from shared.patches.hdf5.guard import probe
from shared.patches.hdf5.linked import list_linked
from shared.patches.hdf5.opening import ERRORS, refuse_errors
from shared.patches.hdf5.structure import hash_structure
from shared.patches.hdf5.unfinished import check_room, resume

__all__ = [
    "ERRORS",
    "Attributes",
    "Dataset",
    "File",
    "Group",
    "check_room",
    "hash_structure",
    "list_linked",
    "probe",
    "refuse_errors",
    "resume",
]
