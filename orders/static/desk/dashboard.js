// The charts of the first page: their numbers come as JSON, their colours from the page's own, light or dark.
(() => {
  const EVERY = 15_000;
  const mumbai = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Kolkata" });
  const rupees = new Intl.NumberFormat("en-IN", { style: "currency", currency: "INR", maximumFractionDigits: 0 });
  const page = document.getElementById("dash-charts");
  if (!page) return;

  // A canvas knows no variables: each colour is painted once and read back.
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (name, alpha = 1) => {
    paint.clearRect(0, 0, 1, 1);
    paint.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    paint.fillRect(0, 0, 1, 1);
    const [red, green, blue] = paint.getImageData(0, 0, 1, 1).data;
    return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
  };

  const axis = (more) => ({ border: { display: false }, ...more });
  const numbers = { callback: (value) => rupees.format(value), maxTicksLimit: 6 };
  const options = (more) => ({
    animation: false,
    maintainAspectRatio: false,
    responsive: true,
    ...more,
  });

  const result = new Chart(document.getElementById("chart-result"), {
    type: "line",
    data: {
      datasets: [
        { label: "Result", data: [], borderWidth: 2, pointRadius: 0, pointHitRadius: 8, tension: 0, fill: "origin" },
        { label: "Daily loss limit", data: [], borderWidth: 1.5, borderDash: [6, 4], pointRadius: 0, fill: false },
      ],
    },
    options: options({
      interaction: { mode: "nearest", axis: "x", intersect: false },
      plugins: {
        legend: { display: true, labels: { boxHeight: 1, boxWidth: 18, filter: (item) => !item.hidden } },
        tooltip: {
          callbacks: {
            title: (items) => (items.length ? mumbai.format(items[0].parsed.x) : ""),
            label: (item) => `${item.dataset.label}: ${rupees.format(item.parsed.y)}`,
          },
        },
      },
      scales: {
        x: axis({ type: "linear", grid: { display: false }, ticks: { callback: (value) => mumbai.format(value), maxTicksLimit: 8, maxRotation: 0 } }),
        y: axis({ ticks: numbers, grace: "10%" }),
      },
    }),
  });

  const symbols = new Chart(document.getElementById("chart-symbols"), {
    type: "bar",
    data: {
      labels: [],
      datasets: [
        { label: "May be worth", data: [], order: 2, maxBarThickness: 22 },
        // One mark across each bar: limits of symbols differ.
        { label: "Limit", type: "scatter", data: [], order: 1, pointStyle: "line", rotation: 90, radius: 12, borderWidth: 3 },
      ],
    },
    options: options({
      indexAxis: "y",
      plugins: {
        legend: { display: true, labels: { boxHeight: 8, boxWidth: 12 } },
        tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${rupees.format(item.parsed.x)}` } },
      },
      scales: {
        x: axis({ beginAtZero: true, ticks: { ...numbers, maxTicksLimit: 4, maxRotation: 0 } }),
        y: axis({ grid: { display: false } }),
      },
    }),
  });

  const recolour = () => {
    const text = colour("--desk-plain");
    const line = colour("--desk-line");
    const [gained, limit] = result.data.datasets;
    gained.borderColor = colour("--desk-info");
    gained.backgroundColor = colour("--desk-info", 0.12);
    limit.borderColor = colour("--desk-bad");
    const [bars, marks] = symbols.data.datasets;
    bars.backgroundColor = bars.worth
      ? bars.data.map((value, at) => colour(value > bars.limits[at] * 0.9 ? "--desk-bad" : value > bars.limits[at] * 0.7 ? "--desk-warning" : "--desk-info", 0.75))
      : colour("--desk-info", 0.75);
    bars.hoverBackgroundColor = colour("--desk-info");
    marks.borderColor = marks.backgroundColor = colour("--desk-bad");
    for (const chart of [result, symbols]) {
      chart.options.color = text;
      for (const scale of Object.values(chart.options.scales)) {
        scale.ticks.color = text;
        scale.grid = { ...scale.grid, color: line };
      }
      chart.options.font = { family: getComputedStyle(document.body).fontFamily };
      chart.update("none");
    }
  };

  const tell = (what, told, isEmpty) => {
    page.querySelector(`[data-told="${what}"]`).textContent = told;
    page.querySelector(`[data-empty="${what}"]`).hidden = !isEmpty;
    page.querySelector(`#chart-${what}`).parentElement.hidden = isEmpty;
  };

  const draw = (told) => {
    const points = told.result.map(([x, y]) => ({ x, y: Number(y) }));
    const [gained, limit] = result.data.datasets;
    gained.data = points;
    const ends = points.length ? [points[0].x, points.at(-1).x] : [];
    // The limit is drawn where it matters: a day that is far from it keeps its own scale.
    const low = Math.min(0, ...points.map((point) => point.y));
    const near = told.loss_limit !== null && low < Number(told.loss_limit) * 0.3;
    limit.data = near ? ends.map((x) => ({ x, y: Number(told.loss_limit) })) : [];
    limit.hidden = !near;
    [result.options.scales.x.min, result.options.scales.x.max] = ends;
    tell("result", `as of ${told.as_of}`, points.length === 0);

    const [bars, marks] = symbols.data.datasets;
    symbols.data.labels = told.symbols;
    bars.data = told.worth.map((worth) => (worth === null ? null : Number(worth)));
    bars.limits = told.limits.map(Number);
    bars.worth = true;
    marks.data = told.limits.map((limitOf, at) => ({ x: Number(limitOf), y: told.symbols[at] }));
    tell("symbols", told.left_out ? `the largest; ${told.left_out} more` : `as of ${told.as_of}`, told.symbols.length === 0);
    recolour();
  };

  let asking = false;
  const ask = async () => {
    if (asking || document.visibilityState !== "visible") return;
    asking = true;
    try {
      const answer = await fetch(page.dataset.url, { credentials: "same-origin", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(answer.statusText);
      draw(await answer.json());
      window.deskRenewed(page);
    } catch {
      page.classList.add("desk-stale");
    } finally {
      asking = false;
    }
  };

  new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  page.addEventListener("desk:wake", ask);
  setInterval(ask, EVERY);
  ask();
})();
