/** The start page and the page of what waits for the caller: their live parts are kept up to date. */

import { keepFresh } from "./page-refresh.js";

keepFresh();
