// Colours of services: any two are told apart, by people who see red, green or blue poorly as well,
// and each stands out from the panel it is drawn on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { services } from "../tokens.js";

/** What an eye without one kind of cones sees, in linear RGB (Machado, Oliveira, Fernandes 2009). */
const EYES = {
  usual: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanope: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranope: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanope: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};
const PANELS = ["#ffffff", "#18191b"];
/** A hundredth of OKLab; two colours side by side are seen apart from about 2 on. */
const APART = 10;
/** WCAG 2.2, 1.4.11: graphics. */
const CONTRAST = 3;

const channel = (byte) => (byte <= 0.04045 ? byte / 12.92 : ((byte + 0.055) / 1.055) ** 2.4);
const linear = (hex) => [1, 3, 5].map((at) => channel(parseInt(hex.slice(at, at + 2), 16) / 255));
const dot = (row, rgb) => row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2];
const seen = (eye, rgb) => eye.map((row) => Math.min(1, Math.max(0, dot(row, rgb))));

function oklab(rgb) {
  const cones = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
  ].map((row) => Math.cbrt(dot(row, rgb)));
  return [
    [0.2104542553, 0.793617785, -0.0040720468],
    [1.9779984951, -2.428592205, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.808675766],
  ].map((row) => dot(row, cones));
}

function contrast(one, other) {
  const light = (hex) => dot([0.2126, 0.7152, 0.0722], linear(hex)) + 0.05;
  const [more, less] = [light(one), light(other)].sort((a, b) => b - a);
  return more / less;
}

for (const [theme, panel] of PANELS.entries()) {
  const colours = services.map((pair) => pair[theme]);
  for (const [name, eye] of Object.entries(EYES)) {
    test(`services are told apart on ${panel} by the ${name} eye`, () => {
      const points = colours.map((hex) => oklab(seen(eye, linear(hex))));
      for (const [i, a] of points.entries()) {
        for (const [j, b] of points.entries()) {
          const distance = 100 * Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
          assert.ok(i === j || distance >= APART, `${colours[i]} ${colours[j]}: ${distance}`);
        }
      }
    });
  }
  test(`services stand out from ${panel}`, () => {
    assert.deepEqual(colours.filter((colour) => contrast(colour, panel) < CONTRAST), []);
  });
}
