"""What a data set holds and whether it is whole: layout, numbers of a sample of its frames, sanity of calibration."""
