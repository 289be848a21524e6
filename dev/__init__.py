"""What a developer's machine needs and a host does not: embedded servers, sample statements, the demo."""
