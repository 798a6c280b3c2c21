/** The start page: the latest runs, and the notice that no worker is running, are kept up to date. */

import { keepFresh } from "./page-refresh.js";

keepFresh();
