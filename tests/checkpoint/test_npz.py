import io
import struct
import zipfile

import numpy as np
import pytest

from xdfn.checkpoint.npz import NpzFile, write_npz

ARRAYS = {
    "params/FC1/W": np.arange(12.0).reshape(3, 4),
    "F": np.asfortranarray(np.arange(12.0, dtype="f4").reshape(3, 4)),
    "empty": np.zeros((0, 3)),
    "number": np.asarray(2.5),
    "counts": np.arange(3),
    "flags": np.asarray([True, False]),
}


def write(path, arrays=ARRAYS, text='{"format": 1}'):
    with open(path, "wb") as file:
        write_npz(file, arrays, text)
    return path


def test_numpy_reads_the_same(tmp_path):
    path = write(tmp_path / "m.npz")
    with NpzFile(path) as ours, np.load(path) as theirs:
        assert ours.text == '{"format": 1}'
        assert set(ours.entries) | {"xdfn.json"} == set(theirs.files)
        for name, entry in ours.entries.items():
            x = ours.read(name)
            np.testing.assert_array_equal(x, theirs[name])
            assert (x.dtype, x.shape, x.flags.f_contiguous) == (
                entry.dtype,
                entry.shape,
                theirs[name].flags.f_contiguous,
            )


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_headers_of_every_version(tmp_path, version):
    with zipfile.ZipFile(write(tmp_path / "m.npz"), "a") as archive:
        member = io.BytesIO()
        np.lib.format.write_array(member, np.arange(5.0), version)
        archive.writestr("more.npy", member.getvalue())
    with NpzFile(tmp_path / "m.npz") as file:
        assert file.read("more").tolist() == [0, 1, 2, 3, 4]


def header(descr="'<f8'", order="False", shape="(2,)"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.npy", b"", "no array of NumPy"),
        ("a.npy", b"\x93NUMPY\x09\x00" + bytes(20), "no array of NumPy"),
        ("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "a header of 4294967295 bytes"),
        ("a.npy", header(shape="(10**12,)"), "malformed node"),
        ("a.npy", header(shape="(1000000000000, 1000000000000)") + bytes(16), "needs 8000000000000000000000000 bytes"),
        ("a.npy", header(shape="(-2,)") + bytes(16), "has the shape"),
        ("a.npy", header(shape="[2]") + bytes(16), "has the shape"),
        ("a.npy", header(shape="(True, 2)") + bytes(16), "has the shape"),
        ("a.npy", header(descr="'|O'") + bytes(16), "objects of Python"),
        ("a.npy", header(descr="[('a', '<f8')]") + bytes(16), "objects of Python"),
        ("a.npy", header() + bytes(15), "needs 16 bytes, and has 15"),
        ("xdfn.json.npy", header() + bytes(16), "is there twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_no_array_is_refused(tmp_path, name, data, said):
    with zipfile.ZipFile(write(tmp_path / "m.npz"), "a") as archive:
        archive.writestr(name, data)
    with pytest.raises(ValueError, match=said):
        NpzFile(tmp_path / "m.npz")


def test_what_is_compressed_is_refused(tmp_path):
    """It may hold a thousand times what the file is long."""
    np.savez_compressed(tmp_path / "m.npz", **{"xdfn.json": np.zeros(2, np.uint8), "a": np.zeros(1000)})
    with pytest.raises(ValueError, match="is compressed, and xdfn compresses nothing"):
        NpzFile(tmp_path / "m.npz")


def test_members_that_lie_over_each_other_are_refused(tmp_path):
    """A directory may name the same bytes a thousand times."""
    path = write(tmp_path / "m.npz", {"a": np.zeros(10_000)})
    data = path.read_bytes()
    entry = data[data.rindex(b"PK\x01\x02") : data.index(b"PK\x05\x06")]  # that of a in the directory
    end = data[data.index(b"PK\x05\x06") :]
    copies = [entry.replace(b"a.npy", bytes([98 + i]) + b".npy") for i in range(3)]
    directory = data[data.index(b"PK\x01\x02") : data.index(b"PK\x05\x06")] + b"".join(copies)
    fields = list(struct.unpack("<IHHHHIIH", end[:22]))
    fields[3] = fields[4] = fields[3] + 3
    fields[5] = len(directory)
    path.write_bytes(data[: data.index(b"PK\x01\x02")] + directory + struct.pack("<IHHHHIIH", *fields))
    with pytest.raises((ValueError, zipfile.BadZipFile), match=r"claim .* bytes, and it has|Overlapped|differ"):
        NpzFile(path)


def test_a_flipped_bit_is_found(tmp_path):
    path = write(tmp_path / "m.npz")
    data = bytearray(path.read_bytes())
    data[data.index(ARRAYS["params/FC1/W"].tobytes()) + 9] ^= 1
    path.write_bytes(data)
    with pytest.raises(zipfile.BadZipFile, match="Bad CRC-32"), NpzFile(path) as file:
        file.read("params/FC1/W")
