"""What a developer's machine needs and a host does not: embedded servers, samples of real data, the demo."""
