"""What tests, benchmarks and evaluations share. It is not part of the package."""
