"""What is deleted is not in the files: random histories, and a look at every byte."""
