"""DICOM files for tests, written by pydicom: one grey frame, and whatever else a test asks for."""

from __future__ import annotations

import numpy as np


def write(path, values, **elements):
    """Write uint8, uint16 or int16 values (H, W) as a CR image, uncompressed; elements None are left out."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), Dataset(), file_meta=meta, preamble=bytes(128))
    bits = 8 * values.dtype.itemsize
    usual = {
        "SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "CR", "PatientName": "Doe^Jane", "PatientID": "secret-17", "Rows": values.shape[0],
        "Columns": values.shape[1], "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits, "BitsStored": bits, "HighBit": elements.get("BitsStored", bits) - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
    }  # fmt: skip
    for name, value in {**usual, **elements}.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.PixelData = np.ascontiguousarray(values).tobytes()
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path
