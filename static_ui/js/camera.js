/** A camera in a dialog, for computers; phones have their own. */

import { button, h } from "./dom.js";
import { t } from "./i18n.js";

/** Have a photo taken. @returns {Promise<File|null>} null if none was */
export async function takePhoto() {
  const video = h("video", { autoplay: true, playsinline: true, muted: true, "aria-label": t("camera.view") });
  const message = h("p", { role: "status" }, t("camera.starting"));
  const shutter = button(t("camera.shoot"), { icon: "camera", kind: "main", disabled: true }, () => shoot());
  const close = button(t("cancel"), {}, () => dialog.close());
  const dialog = h("dialog.camera", { "aria-labelledby": "camera-title" }, h("h2", { id: "camera-title" }, t("camera.title")), video, message, h("div.actions", null, shutter, close));
  document.body.append(dialog);
  dialog.showModal();

  let stream;
  let photo = null;
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  async function shoot() {
    const canvas = h("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
    photo = new File([blob], "camera.jpg", { type: "image/jpeg" });
    dialog.close();
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
    if (dialog.open) {
      video.srcObject = stream;
      await video.play();
      message.textContent = t("camera.hint");
      shutter.disabled = false;
      shutter.focus();
    }
  } catch {
    message.textContent = t("camera.none");
  }
  await closed;
  for (const track of stream?.getTracks() ?? []) track.stop();
  dialog.remove();
  return photo;
}
