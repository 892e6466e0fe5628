"""Footage: finding ffmpeg, probing, extracting exactly the frames that labels mean. No labels, no tables."""
