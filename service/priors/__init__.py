"""Earlier examinations of a patient (priors): found here or in the archive, fetched, and never another patient's."""
