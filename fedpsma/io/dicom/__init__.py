"""DICOM series in: headers, geometry, contours, and a whole PET/CT study in SUVbw."""
