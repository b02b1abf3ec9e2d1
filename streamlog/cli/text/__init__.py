"""Between records and the text that people type and read: lines, formats, moments."""
