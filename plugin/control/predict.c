/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "predict.h"

#include <math.h>

#define CONTRACTION 0.8 /* a pass at the goal must shrink by a fifth: estimates are not exact */
#define PASSES_MOST 12  /* passes shrink geometrically; more than this is "never" */

double
sevmig_predict_page_us(const SevmigPlant *plant, double pages)
{
    double part;

    if (plant->dense_pages <= plant->allowed_pages || pages <= plant->allowed_pages)
        return plant->page_us;
    part = (pages - plant->allowed_pages) / (plant->dense_pages - plant->allowed_pages);
    return plant->page_us +
           (plant->dense_us - plant->page_us) * powf((float)fmin(1, part), SEVMIG_SPARSER);
}

static double
dirtied_in(const SevmigPlant *plant, double wall_us, unsigned percent)
{
    double running = sevmig_vcpus_running(plant->vcpus, percent);

    return sevmig_dirty_pages(plant->dirty,
                              wall_us * running * (percent > 0 ? plant->vcpus->gain : 1));
}

double
sevmig_predict_pass(const SevmigPlant *plant, double pages, unsigned percent)
{
    return dirtied_in(plant, pages * sevmig_predict_page_us(plant, pages), percent);
}

double
sevmig_predict_downtime_us(const SevmigPlant *plant, double pages)
{
    return plant->fixed_us + pages * sevmig_predict_page_us(plant, pages);
}

unsigned
sevmig_predict_least_percent(const SevmigPlant *plant, unsigned most_percent)
{
    /* Guest time that dirties what is allowed, over the wall time that sends it: the most CPU the
     * guest may use. c(p) does not grow with p, so the least p is found by halving. */
    double guest_us = sevmig_dirty_time_us(plant->dirty, CONTRACTION * plant->allowed_pages);
    double most_running = guest_us / fmax(1, plant->allowed_pages * plant->page_us);
    unsigned low = 1, high = most_percent + 1;

    if (sevmig_vcpus_running(plant->vcpus, 0) <= most_running)
        return 0;
    most_running /= plant->vcpus->gain;
    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (sevmig_vcpus_running(plant->vcpus, middle) <= most_running)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void
sevmig_predict_plan(const SevmigPlant *plant, double pages, unsigned percent, SevmigPlan *plan)
{
    double total = 0, downtime;
    int pass;

    for (pass = 0; pass < PASSES_MOST && pages > plant->allowed_pages; pass++) {
        double wall_us = pages * sevmig_predict_page_us(plant, pages);

        total += wall_us;
        pages = dirtied_in(plant, wall_us, percent);
    }
    downtime = sevmig_predict_downtime_us(plant, pages);
    plan->reaches = pages <= plant->allowed_pages;
    plan->last_pages = pages;
    plan->total_us = total + downtime;
    plan->lost_us = total * percent / 100 + downtime;
}
