"""One lung nodule on chest CT, round a point that somebody or something else has marked."""
