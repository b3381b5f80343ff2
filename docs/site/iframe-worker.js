// A page that is opened as a file may not start a Worker: the search runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => tell(this, data);
      const script = inner.document.createElement("script");
      script.src = new URL(url, location.href);
      this.loaded = new Promise((resolve) => script.addEventListener("load", resolve));
      inner.document.head.append(script);
    }

    postMessage(data) {
      this.loaded.then(() => tell(this.frame.contentWindow, data));
    }

    terminate() {
      this.frame.remove();
    }
  };

  // An event calls `onmessage` of a window, and of nothing else.
  function tell(target, data) {
    const message = new MessageEvent("message", { data });
    target.dispatchEvent(message);
    if (target instanceof window.Worker) target.onmessage?.(message);
  }
}
