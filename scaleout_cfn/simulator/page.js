const data = JSON.parse(document.getElementById("data").textContent);
const chart = document.getElementById("chart");
const cursor = document.getElementById("cursor");
const readout = document.getElementById("readout");
chart.addEventListener("pointermove", (event) => {
  const box = chart.getBoundingClientRect();
  const x = (event.clientX - box.left) * chart.viewBox.baseVal.width / box.width;
  const count = data.panels[0][1][0][1].length;
  const index = Math.min(count - 1, Math.max(0, Math.floor((x - data.left) / data.width * count)));
  cursor.setAttribute("transform", `translate(${data.left + (index + 0.5) * data.width / count} 0)`);
  cursor.style.visibility = "visible";
  const time = new Date(index * data.step * 1000).toISOString();
  const days = Math.floor(index * data.step / 86400);
  const parts = data.panels.map(([title, curves]) =>
    `${title}: ` + curves.map(([label, values]) => `${values[index]} ${label}`).join(", "));
  readout.textContent = `${days ? days + "d " : ""}${time.slice(11, 19)}  ·  ${parts.join("  ·  ")}`;
});
