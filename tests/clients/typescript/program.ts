// Predicts one picture and many with the types that openapi-typescript makes, and openapi-fetch.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

export async function predicted(url: string): Promise<string> {
  const client = createClient<paths, "application/json">({ baseUrl: url });
  const drawn = new Uint8Array(784);
  drawn[0] = 7; // FakePredictor reads the first one
  const pixels = Array.from(drawn);

  const one = await client.POST("/predict", { body: { pixels } });
  if (!one.data || !("digit" in one.data)) throw new Error("not one answer");
  const answer: components["schemas"]["OneAnswer"] = one.data;
  const digits: number[] = [answer.digit];
  const confidence: number = answer.confidence;
  const accepted: boolean | null = answer.accepted;
  const model: string = answer.model.name;

  const many = await client.POST("/predict", { body: { instances: [pixels, [8, ...pixels.slice(1)]] } });
  if (!many.data || !("predictions" in many.data) || "text" in many.data) throw new Error("not many answers");
  for (const prediction of many.data.predictions) digits.push(prediction.digit);

  const wrong = await client.POST("/predict", { body: { pixels: pixels.slice(1) } });
  const error: string | undefined = wrong.error?.error.code;

  const v1 = await client.POST("/v1/models/{model}:predict", {
    params: { path: { model: "lenet" } },
    body: { instances: [pixels] },
  });
  if (!v1.data || !("predictions" in v1.data)) throw new Error("no rows");
  const v2 = await client.GET("/v2/models/{model}", { params: { path: { model: "lenet" } } });
  const versions: string[] | undefined = v2.data?.versions;
  const known = typeof confidence === "number" && accepted === true;
  return JSON.stringify({ digits, model, error, v1: v1.data.predictions[0]?.length, v2: versions, known });
}
