"""What every scenario uses: servers, load, rounds, report."""
