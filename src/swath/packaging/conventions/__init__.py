"""What the libraries that export networks mean by their outputs, one module for each library."""
