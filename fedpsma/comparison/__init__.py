"""Two analysed studies of one patient: aligned, their lesions matched, the change of each and the response."""
