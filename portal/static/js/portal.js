// What every page gains when scripts run. Each of these pages works without them.

import { enhance, listen } from "./enhance.js";

listen();
enhance(document);
