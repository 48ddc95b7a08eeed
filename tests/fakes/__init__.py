"""Stand-ins for the ports: real classes with behaviour, never mocks. No test may enter here."""
