"""The commands of the library; each module is light, and imports what it needs when it is called."""
