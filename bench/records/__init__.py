"""What a training leaves on disk, and what may be said of it: found again, compared, doubted, counted."""
