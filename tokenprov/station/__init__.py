"""What people at the station see: events, and the screens that draw from them."""
