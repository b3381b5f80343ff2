"""A camera: the RTSP server of GStreamer, with picture and sound behind a user and a password.

Run by the system's Python, which has GStreamer's bindings:
    python3 rtsp_camera.py PORT USER PASSWORD basic|digest MOVIE
`/g711` is live, JPEG and A-law; `/aac` is the file MOVIE, H.264 and AAC.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - versions come first

ROLE = "viewer"
LIVE = (
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,"
    "framerate=5/1 ! jpegenc "
    "! rtpjpegpay name=pay0 pt=26 audiotestsrc is-live=true freq=440 volume=0.3 "
    "! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8 )"
)
MOVIE = (
    "( filesrc location={} ! qtdemux name=movie movie. ! queue ! rtph264pay name=pay0 pt=96 "
    "movie. ! queue ! rtpmp4gpay name=pay1 pt=97 )"
)


def main(port, user, password, method, movie):
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    auth, token = GstRtspServer.RTSPAuth.new(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if method == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    for path, launch in (("/g711", LIVE), ("/aac", MOVIE.format(movie))):
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(launch)
        factory.set_shared(path == "/g711")
        permissions = GstRtspServer.RTSPPermissions.new()
        permissions.add_permission_for_role(ROLE, "media.factory.access", True)
        permissions.add_permission_for_role(ROLE, "media.factory.construct", True)
        factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    sys.stdout.write("serving\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
