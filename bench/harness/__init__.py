"""What the benchmarks share: tools and builds, servers, load, reports. Python's standard library only."""
