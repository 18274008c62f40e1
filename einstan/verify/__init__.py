"""verify: claims of a program, decided link by link: `check`."""
