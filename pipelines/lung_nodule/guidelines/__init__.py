"""What the guidelines say of one measured nodule: reviewed tables, and the row that decided.

Pure functions from `facts` to an `answer.Answer`. An answer is of one nodule and stands "if confirmed"; no category
of an examination and no instruction is ever part of it.
"""
