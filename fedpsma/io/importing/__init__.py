"""Many studies in: every layout names its studies, one writer turns them into a data set."""
