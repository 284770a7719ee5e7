"""Virtual tokens on a real USB bus: composite devices offered to a virtual machine by usbredir."""
