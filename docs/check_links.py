"""
Check that every link within the built pages leads somewhere, also those that Sphinx does not know of.

Usage: python check_links.py FOLDER
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the places in it that links can lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Collect what a tag refers to, and its own name."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name == "id" or (tag == "a" and name == "name"):
                self.places.add(value)


def main(folder):
    """Print the number of links, and those that lead nowhere; return the exit status."""
    # What is in _static is the theme's, some of it not yet filled in.
    paths = [path for path in sorted(Path(folder).rglob("*.html")) if "_static" not in path.parts]
    pages = {path.resolve(): Page(path) for path in paths}
    count, broken = 0, []
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = target in pages and (
                not parts.fragment or unquote(parts.fragment) in pages[target].places
            )
            if not (known or (target.is_file() and target not in pages)):
                broken.append(f"{path.relative_to(Path(folder).resolve())}: {link}")
    print(f"{count} links within {len(pages)} pages, {len(broken)} of them broken")
    print("\n".join(broken), end="\n" if broken else "")
    return 1 if broken or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__.strip())
