"""Takes every mail on a port of the loopback, and keeps each as a file: mail_sink.py PORT FOLDER."""

import asyncio
import sys
from itertools import count
from pathlib import Path

numbers = count(1)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Talk with one client to its end."""
    writer.write(b"220 sink\r\n")
    while line := await reader.readline():
        command = line.split(maxsplit=1)[0].upper()
        if command == b"DATA":
            writer.write(b"354 go on\r\n")
            content = await reader.readuntil(b"\r\n.\r\n")
            Path(sys.argv[2], f"{next(numbers)}.eml").write_bytes(content)
        writer.write(b"221 bye\r\n" if command == b"QUIT" else b"250 fine\r\n")
        await writer.drain()
    writer.close()


async def main() -> None:
    """Listen until killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
