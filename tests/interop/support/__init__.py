"""What the suites of this folder share. What a test checks stands in the test."""
