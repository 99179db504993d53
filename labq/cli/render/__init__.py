"""From the API's bodies to text. Pure: no module here reads a file, a clock or a socket."""
