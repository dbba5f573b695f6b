"""A picture archive (PACS) over DICOMweb: find studies, fetch one, store what was made of it."""
