"""DICOM to grey in [0, 1]: the standard's order of steps, pydicom as oracle, and refusals that say what to do."""

from __future__ import annotations

from pathlib import Path

import dicom_files
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungseg import radiograph
from lungseg.errors import DataError

pydicom = pytest.importorskip("pydicom", reason="pip install 'lungseg[dicom]'")
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def read(tmp_path, values=RAMP, **elements):
    return radiograph.read(dicom_files.write(tmp_path / "image.dcm", values, **elements))


@pytest.mark.parametrize(("dtype", "bits"), [(np.uint8, 8), (np.uint16, 12), (np.uint16, 16), (np.uint16, 10)])
def test_full_scale_is_that_of_the_stored_bits_not_the_images_maximum(tmp_path, dtype, bits):
    values = np.array([[0, 1], [100, (1 << bits) // 4]], dtype)
    result = read(tmp_path, values, BitsStored=bits).pixels
    np.testing.assert_allclose(result, values / ((1 << bits) - 1), rtol=1e-6)
    assert result.dtype == np.float32


def test_twelve_bits_in_sixteen_stored_are_read_as_those_of_a_png(tmp_path):
    from lungseg import images

    images.write_png(tmp_path / "a.png", RAMP)
    result = read(tmp_path)
    np.testing.assert_allclose(result.pixels, radiograph.read(tmp_path / "a.png").pixels, atol=1e-6)
    assert result.remarks == ("read as 12 bits (16 stored)",)
    negative = read(tmp_path, PhotometricInterpretation="MONOCHROME1", RescaleSlope=2, RescaleIntercept=-9)
    np.testing.assert_allclose(negative.pixels, 1 - RAMP / 4095, atol=1e-6)


@pytest.mark.parametrize(("values", "elements"), [
    (RAMP + np.uint16(1), {}),  # one value needs a thirteenth bit
    (RAMP, {"WindowCenter": 32768, "WindowWidth": 65536, "VOILUTFunction": "LINEAR_EXACT"}),  # says what is white
    (RAMP, {"BitsStored": 14}),
    (RAMP.astype(np.int16), {}),
])  # fmt: skip
def test_a_depth_that_the_header_or_a_value_tells_is_kept(tmp_path, values, elements):
    result = read(tmp_path, values, **elements)
    assert result.remarks == ()
    full, low = (1 << elements.get("BitsStored", 16)) - 1, 32768 * (values.dtype.kind == "i")
    np.testing.assert_allclose(result.pixels, (values.astype(float) + low) / full, atol=1e-4)


def test_monochrome1_is_the_negative_of_monochrome2(tmp_path):
    window = {"BitsStored": 12, "WindowCenter": 1500, "WindowWidth": 2000}
    plain = read(tmp_path, **window).pixels
    inverted = read(tmp_path, PhotometricInterpretation="MONOCHROME1", **window).pixels
    np.testing.assert_allclose(inverted, 1 - plain, atol=1e-6)
    assert plain[0, 0] == 0
    assert inverted[0, 0] == 1  # inverted after the window, of full scale, not of the image's maximum


def test_signed_values_and_a_rescale_do_not_move_what_has_no_window(tmp_path):
    values = (RAMP.astype(np.int32) - 2048).astype(np.int16)
    result = read(tmp_path, values, BitsStored=12, RescaleSlope=2, RescaleIntercept=-1000, RescaleType="US").pixels
    np.testing.assert_allclose(result, RAMP / 4095, atol=1e-6)


def test_the_window_is_of_rescaled_values(tmp_path):
    result = read(tmp_path, BitsStored=12, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=1001)
    rescaled = RAMP * 2.0 - 1000
    np.testing.assert_allclose(result.pixels, np.clip((rescaled - 499.5) / 1000, 0, 1), atol=1e-6)


@given(
    centre=st.integers(-500, 5000), width=st.integers(2, 6000), slope=st.sampled_from([1, 0.5, 3]),
    intercept=st.integers(-1000, 1000), function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)  # fmt: skip
def test_windows_are_those_of_pydicom(tmp_path_factory, centre, width, slope, intercept, function):
    from pydicom.pixels import apply_voi_lut
    from pydicom.pixels.processing import apply_modality_lut

    path = dicom_files.write(
        tmp_path_factory.mktemp("dicom") / "a.dcm", RAMP, BitsStored=12, RescaleSlope=slope, RescaleIntercept=intercept,
        WindowCenter=centre, WindowWidth=width, VOILUTFunction=function,
    )  # fmt: skip
    dataset = pydicom.dcmread(path)
    expected = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = intercept, 4095 * slope + intercept  # pydicom scales to the range of the stored bits
    np.testing.assert_allclose(radiograph.read(path).pixels, (expected - low) / (high - low), atol=1e-6)


def test_a_voi_lut_comes_before_a_window(tmp_path):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor = [4096, 0, 16]
    table = (65535 * (np.arange(4096) / 4095) ** 2).round().astype(np.uint16)
    item.LUTData = table.tobytes()
    item["LUTData"].VR = "OW"
    result = read(tmp_path, BitsStored=12, VOILUTSequence=[item], WindowCenter=1, WindowWidth=2).pixels
    np.testing.assert_allclose(result, table[RAMP] / 65535, atol=1e-6)


@pytest.mark.parametrize("descriptor", [[4096, 0, 0], [4096, 0, 99], [0, 0, 16], [4096, 0]])
def test_a_voi_lut_that_makes_no_sense_is_refused_or_read_as_grey(tmp_path, descriptor):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor, item.LUTData = descriptor, np.arange(4096, dtype=np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    path = dicom_files.write(tmp_path / "a.dcm", RAMP, BitsStored=12, VOILUTSequence=[item])
    refused = outcome(path)  # which looks at the values of what is read
    assert refused is None or refused.startswith(f"{path}: ")


def test_the_first_of_several_windows_is_taken(tmp_path):
    one = read(tmp_path, BitsStored=12, WindowCenter=1000, WindowWidth=500).pixels
    several = read(tmp_path, BitsStored=12, WindowCenter=[1000, 3000], WindowWidth=[500, 100]).pixels
    np.testing.assert_array_equal(one, several)


def test_bits_above_the_stored_ones_are_no_grey(tmp_path):
    np.testing.assert_array_equal(
        read(tmp_path, RAMP | np.uint16(0xF000), BitsStored=12).pixels, read(tmp_path, BitsStored=12).pixels
    )


@pytest.mark.parametrize(
    ("elements", "spacing", "source"),
    [
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.3, 0.3]}, (0.2, 0.1), "PixelSpacing"),
        ({"ImagerPixelSpacing": [0.3, 0.4]}, (0.3, 0.4), "ImagerPixelSpacing"),
        ({}, None, ""),
        ({"PixelSpacing": [0, 0]}, None, ""),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.3, 0.3]}, (0.3, 0.3), "ImagerPixelSpacing"),
    ],
)
def test_the_spacing_says_where_it_is_from(tmp_path, elements, spacing, source):
    result = read(tmp_path, BitsStored=12, **elements)
    assert (result.spacing_mm, result.spacing_from) == (spacing, source)


def test_a_modality_that_is_no_radiograph_is_told(tmp_path):
    assert read(tmp_path, Modality="CT", BitsStored=12).remarks == ("modality CT",)
    assert read(tmp_path, Modality="DX", BitsStored=12).remarks == ()


@pytest.mark.parametrize(("header", "remarks"), [
    ({"ViewPosition": "PA", "PatientOrientation": ["L", "F"]}, ()),
    ({"ViewPosition": "AP", "PatientOrientation": []}, ()),
    ({"ViewPosition": "LL"}, ("view LL",)),
    ({"PatientOrientation": ["R", "F"]}, ("mirrored: the right lung is at the image's right",)),
    ({"PatientOrientation": ["F", "R"]}, ("orientation F\\R: sides not named",)),
    ({"PatientOrientation": ["L", "H"]}, ("orientation L\\H: sides not named",)),
    ({"PatientOrientation": ["RFP", "H"]}, ("orientation RFP\\H: sides not named",)),
    ({"ViewPosition": "RL", "PatientOrientation": ["P", "F"]}, ("view RL", "orientation P\\F: sides not named")),
])  # fmt: skip
def test_a_lateral_view_and_a_mirrored_or_turned_image_are_told(tmp_path, header, remarks):
    """Rows of a radiograph seen from the front run towards the patient's left (PS3.3 C.7.6.1.1.1)."""
    assert read(tmp_path, BitsStored=12, **header).remarks == remarks


@pytest.mark.parametrize(("orientation", "right_at"), [
    (["L", "F"], "left"), (["LF", "FR"], "left"), (None, "left"), ([], "left"), (["L", ""], "left"), (["L"], "left"),
    (["R", "F"], "right"), ("R", "right"), (["R", "H"], None), (["L", "H"], None), (["F", "R"], None),
    (["A", "F"], None),
])  # fmt: skip
def test_the_header_says_at_which_side_the_patients_right_is(tmp_path, orientation, right_at):
    assert read(tmp_path, PatientOrientation=orientation).right_at == right_at


@pytest.mark.parametrize(
    ("elements", "match"),
    [
        ({"NumberOfFrames": 2, "Rows": 32}, "2 frames; a radiograph has one"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PhotometricInterpretation PALETTE COLOR"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation missing"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"Rows": 60000, "Columns": 60000}, "60000 x 60000 pixels"),
        ({"Rows": 0}, "64 x 0 pixels"),
        ({"Rows": None}, "DICOM without Rows"),
        ({"BitsStored": 17}, "17 bits stored of 16"),
        ({"WindowCenter": 100, "WindowWidth": 0}, "a window 0 wide at 100"),
        ({"WindowCenter": 100, "WindowWidth": -5}, "a window -5 wide"),
        ({"VOILUTFunction": "CUBIC", "WindowCenter": 100, "WindowWidth": 5}, "VOI LUT function 'CUBIC'"),
        ({"Rows": 65}, "cannot be decoded"),
    ],
)
def test_what_is_no_single_grey_image_is_refused(tmp_path, elements, match):
    with pytest.raises(DataError, match=match) as caught:
        read(tmp_path, **elements)
    assert str(caught.value).startswith(str(tmp_path))
    assert "secret-17" not in str(caught.value)


def test_a_file_cut_anywhere_is_refused_or_told(tmp_path):
    data = dicom_files.write(tmp_path / "a.dcm", RAMP, BitsStored=12).read_bytes()
    for end in (0, 10, 131, 132, 140, 200, 400, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.dcm").write_bytes(data[:end])
        with pytest.raises(DataError):
            radiograph.read(tmp_path / "cut.dcm")


def test_changed_bytes_of_a_header_raise_nothing_else(tmp_path):
    path = dicom_files.write(
        tmp_path / "a.dcm", RAMP, BitsStored=12, WindowCenter=2000, WindowWidth=1000, RescaleSlope=1,
        RescaleIntercept=0, PixelSpacing=[0.1, 0.1],
    )  # fmt: skip
    whole, generator = path.read_bytes(), np.random.default_rng(0)
    end = whole.index(b"\xe0\x7f\x10\x00") + 12  # of the pixels' own header
    refused = 0
    for _ in range(600):
        changed = bytearray(whole)
        for at in generator.integers(132, end, generator.integers(1, 4)):
            changed[at] = generator.integers(0, 256)
        path.write_bytes(changed)
        refused += outcome(path) is not None
    assert 100 < refused < 500


def outcome(path):
    """The refusal in words, None where the file was read."""
    try:
        result = radiograph.read(path)
    except DataError as error:
        return str(error)
    assert 0 <= result.pixels.min() <= result.pixels.max() <= 1
    return None


def test_each_file_that_pydicom_ships_is_read_or_refused_in_one_line():
    """Files of every kind, many broken on purpose; none downloaded. What decodes depends on the decoders installed."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    result = {path.name: outcome(path) for path in sorted(folder.glob("*.dcm"))}
    assert [text for text in result.values() if text and "\n" in text] == []
    assert sum(text is None for text in result.values()) >= 5
    assert sum(text is not None for text in result.values()) >= 30
    assert result["CT_small.dcm"] is None
    assert "frames" in result["rtdose.dcm"]
    assert "deflated" in result["image_dfl.dcm"]
    assert "colour" in result["examples_rgb_color.dcm"]
    assert "no decoder is installed" in (result["JPEGLSNearLossless_08.dcm"] or "no decoder is installed")


@pytest.mark.parametrize(
    ("syntax", "decoder"), [("JPEG2000Lossless", "openjpeg"), ("JPEGLSLossless", "jpeg_ls"), ("RLELossless", "rle")]
)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_compression_gives_the_pixels_of_the_raw_file(tmp_path, syntax, decoder, bits):
    pytest.importorskip(decoder, reason="pip install 'lungseg[dicom-decoders]'")
    values = (RAMP * 16 >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    raw = dicom_files.write(tmp_path / "raw.dcm", values, BitsStored=bits)
    dataset = pydicom.dcmread(raw)
    dataset.compress(getattr(pydicom.uid, syntax), generate_instance_uid=False)
    dataset.save_as(tmp_path / "compressed.dcm")
    assert (tmp_path / "compressed.dcm").stat().st_size != raw.stat().st_size
    np.testing.assert_array_equal(radiograph.read(tmp_path / "compressed.dcm").pixels, radiograph.read(raw).pixels)


def test_without_a_decoder_the_message_names_what_to_install(tmp_path, monkeypatch):
    from pydicom.pixels.decoders import JPEGBaseline8BitDecoder as decoder

    dataset = pydicom.dcmread(dicom_files.write(tmp_path / "a.dcm", RAMP.astype(np.uint8)))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    dataset.save_as(tmp_path / "jpeg.dcm")
    monkeypatch.setattr(decoder, "_unavailable", {**decoder._unavailable, "pylibjpeg": ("pylibjpeg>=2.0",)})
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(DataError, match=r"JPEG Baseline.*no decoder is installed: `pip install 'lungseg\[dicom-dec"):
        radiograph.read(tmp_path / "jpeg.dcm")


def test_a_compressed_file_names_what_decodes_it(tmp_path):
    from pydicom.uid import RLELossless

    path = dicom_files.write(tmp_path / "a.dcm", RAMP, BitsStored=12)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)  # pydicom decodes RLE itself
    dataset.save_as(tmp_path / "rle.dcm")
    np.testing.assert_array_equal(radiograph.read(tmp_path / "rle.dcm").pixels, radiograph.read(path).pixels)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"  # JPEG 2000, whatever the bytes are
    dataset.save_as(tmp_path / "j2k.dcm")
    with pytest.raises(DataError, match=r"JPEG 2000|cannot be decoded"):
        radiograph.read(tmp_path / "j2k.dcm")
