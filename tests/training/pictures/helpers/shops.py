"""A small shop on loopback with everything that makes crawlers stumble."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

from aiohttp import web


def page(body):
    return web.Response(
        text=f"<!doctype html><html><body>{body}</body></html>", content_type="text/html"
    )


def categories(**links):
    items = "".join(
        f'<li><a href="{href}">{name.replace("_", " ")}</a></li>' for name, href in links.items()
    )
    return f'<nav class="tree"><ul>{items}</ul></nav>'


def product(name, source, *, lazy=False):
    attributes = (
        f'src="data:image/gif;base64,R0" data-src="{source}"' if lazy else f'src="{source}"'
    )
    return f'<div class="product card"><img {attributes} alt="{name}"><h3>{name}</h3></div>'


class TheShop:
    """Pages by path; `asked` counts the requests to each."""

    def __init__(self, pictures, elsewhere="http://127.0.0.1:9"):
        self.asked, self.times, self.fail, self.slow, self.pictures = (
            Counter(),
            [],
            Counter(),
            {},
            pictures,
        )
        bass = categories(
            Bass_guitars="/c/bass", Guitars_again="/c/guitars#top", Accessories="/c/straps"
        )
        self.pages = {
            "/": categories(
                Guitars="/c/guitars?sid=1", Basses="c/bass", Drums="/c/drums",
                Calendar="/calendar?day=1",
            ),
            "/c/guitars": categories(Guitars_home="/", Electric_guitars="/c/electric")
            + "<a rel=next href='?page=2'>next</a>" + product("First Guitar", "/img/1.png")
            + product("Lazy", "/img/2.png", lazy=True),
            "/c/guitars?page=2": bass + product("Empty", "/img/blank.png")
            + product("Gone", "/img/gone.png") + product("Copy", "/img/copy-of-1.png")
            + "<a rel=next href='/c/guitars'>round and round</a>",
            "/c/electric": product("Page", "/img/page.html") + product("Huge", "/img/huge.png")
            + product("Secret", "/private/3.png")
            + product("Elsewhere", f"{elsewhere}/4.png") + product("Broken", "/img/cut.png"),
            "/c/bass": product("Bass", "/img/5.png") + product("Moved", "/moved/6.png")
            + product("Flaky", "/img/7.png") + product("Ring", "/ring/a"),
        }  # fmt: skip

    async def answer(self, request):
        self.asked[request.path_qs] += 1
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.slow.get(request.path, 0))
        if self.fail[request.path] > 0:
            self.fail[request.path] -= 1
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "0"})
        return self.found(request)

    def found(self, request):
        path, name = request.path, request.path.rsplit("/", 1)[-1]
        if path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private/\n")
        if path == "/calendar":
            day = int(request.query["day"])
            return page(
                categories(Calendar_tomorrow=f"/calendar?day={day + 1}")
                + product("Day", f"/img/day{day}.png")
            )
        if path == "/moved/6.png":
            raise web.HTTPFound("/img/6.png")
        if path.startswith("/ring/"):
            raise web.HTTPFound(f"/ring/{name}a")
        if path == "/img/huge.png":
            return web.Response(
                body=self.pictures["1.png"] + bytes(300_000), content_type="image/png"
            )
        if path == "/img/page.html":
            return page("Please log in")
        if name in self.pictures:
            return web.Response(body=self.pictures[name], content_type="image/png")
        if (html := self.pages.get(request.path_qs.replace("?sid=1", ""))) is None:
            raise web.HTTPNotFound
        return page(html)


@asynccontextmanager
async def served(answer):
    """Serve one handler for all paths on a free port of loopback; gives the address."""

    async def handler(request):
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()
