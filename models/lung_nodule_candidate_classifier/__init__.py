"""Second look at a place on chest CT: how much an axial slice of it looks like a nodule."""
