"""What a prompt passes through on its way to a picture, one file per stage, in order."""
