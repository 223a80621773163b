"""Real nodules blended into real lungs: what a detector learns from where whole annotated scans are few.

Figures on inserted nodules are called so everywhere and never mixed with those on natural ones.
"""
